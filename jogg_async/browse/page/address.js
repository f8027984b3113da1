// Addresses of the local server, each with the token of the page's own address.

const token = new URLSearchParams(location.search).get("token") ?? "";

/** Return the address of a path with query parameters; empty ones are left out. */
export function address(path, parameters = {}) {
  const given = Object.entries(parameters).filter(([, value]) => value !== "" && value != null);
  return `${path}?${new URLSearchParams([...given, ["token", token]])}`;
}

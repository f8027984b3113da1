"""The service's rules, without I/O: arguments, addresses, envelopes, schemas, decoding, redaction."""

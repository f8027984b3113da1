"""Rules of the service, without I/O: limits, arguments, URLs, envelopes, schemas, decoding, redaction."""

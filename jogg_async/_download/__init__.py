"""Download of audio files: safe names, partial files, resumption, retries."""

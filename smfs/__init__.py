"""smfs: the end-to-end encrypted secrets of a Secret Manager service, as files and as a library."""

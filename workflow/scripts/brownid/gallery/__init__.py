"""Pages of thumbnails: sprite sheets, and data as scripts, which a browser reads from a folder without a server."""

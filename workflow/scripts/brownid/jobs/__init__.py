"""The stages of the workflow: files in, files out. Each function ties the rooms together for one rule or command."""

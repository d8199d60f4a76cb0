"""A diagnosis of a model behind an OpenAI-compatible API: the twins of a local run, sent to a server."""

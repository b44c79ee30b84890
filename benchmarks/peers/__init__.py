"""Other people's tools, each in its own process and environment: these scripts need nothing of Graft's."""

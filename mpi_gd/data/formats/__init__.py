"""One file format a module, or a few modules of one prefix; the registry knows them by name."""

"""The FUSE adapter. The native module is loaded here because it has to be there before anything loads pyfuse3."""

from damfs.presentation.fuse import native

native.load()

"""Amazon Office Products as MiniOneRec prepared it, or any folder in its layout."""

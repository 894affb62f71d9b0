// The bundle is made here.

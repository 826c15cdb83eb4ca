package server

// dispatcher wakes the daemon that a new job is for.
type dispatcher struct{}

func newDispatcher() *dispatcher { return &dispatcher{} }

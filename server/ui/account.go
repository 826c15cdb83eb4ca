package ui

func (u *UI) accountRoutes(*table) {}

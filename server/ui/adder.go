package ui

// candidate is somebody who can be added to something.
type candidate struct {
	ID, Username, About string
	// In says that they are in it already.
	In bool
}

// adder finds people to add. It works by reloading, and with a script as one
// types.
type adder struct {
	// Path is the page that the search and the buttons are sent to.
	Path               string
	Query, Label, Hint string
	Candidates         []candidate
	// Exact asks for a whole name, where nobody can be searched for.
	Exact bool
	// Cancel is the page without the search.
	Cancel  string
	Problem string
}

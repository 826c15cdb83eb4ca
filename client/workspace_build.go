package client

// BuildParameter is the value of one rich parameter in one build.
type BuildParameter struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

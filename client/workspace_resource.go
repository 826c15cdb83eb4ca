package client

// WorkspaceResourceMetadata is an item of a coder_metadata block. Sensitive
// values are in the API in clear, as in the reference; pages hide them.
type WorkspaceResourceMetadata struct {
	Key       string `json:"key"`
	Value     string `json:"value"`
	Sensitive bool   `json:"sensitive"`
}

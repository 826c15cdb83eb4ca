package server

import (
	"crypto/rand"
	"math/big"
	"strings"
)

const secretAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

// newSecret makes n random letters and digits, about 5.95 bits each.
func newSecret(n int) string {
	out := make([]byte, n)
	size := big.NewInt(int64(len(secretAlphabet)))
	for i := range out {
		k, _ := rand.Int(rand.Reader, size) // never fails: it ends the program instead
		out[i] = secretAlphabet[k.Int64()]
	}
	return string(out)
}

// isSecret tells whether text could be one of n characters.
func isSecret(text string, n int) bool {
	return len(text) == n && strings.Trim(text, secretAlphabet) == ""
}

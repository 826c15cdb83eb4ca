// Coder gives every platform team of a company its own organization in one
// deployment: the control plane, the provisioner daemon and the command line.
package main

func main() {}

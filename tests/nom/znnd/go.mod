module znnd

go 1.20

// The node software that the tests run, and the only thing built from here.
require github.com/zenon-network/go-zenon v0.0.8-alphanet

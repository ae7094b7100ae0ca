//go:build tools

package tools

import _ "github.com/zenon-network/go-zenon/cmd/znnd"

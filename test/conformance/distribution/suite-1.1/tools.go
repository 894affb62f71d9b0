//go:build tools

// Package suite names the official conformance suite, so that go.sum pins it with everything that it is built from.
package suite

import _ "github.com/opencontainers/distribution-spec/conformance"

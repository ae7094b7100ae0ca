module zquorum/bench

go 1.22

require (
	github.com/transparency-dev/merkle v0.0.2
	zquorum/attestation v0.0.0
)

replace zquorum/attestation => ../../../../attestation/go

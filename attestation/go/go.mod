module zquorum/attestation

go 1.19

;; A section that ends behind the file.
(module binary "\00asm" "\01\00\00\00" "\01\7f\00")

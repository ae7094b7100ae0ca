;; A length in more bytes than a number has.
(module binary "\00asm" "\01\00\00\00" "\01\06\ff\ff\ff\ff\ff\0f")

;; A module, and bytes that belong to nothing.
(module binary
  "\00asm" "\01\00\00\00"
  "\01\07\01\60\02\7f\7f\01\7f"
  "\03\02\01\00"
  "\05\04\01\01\01\02"
  "\07\16\02" "\06memory\02\00" "\09zapp_main\00\00"
  "\0a\06\01\04\00\41\00\0b"
  "\ff\ff\ff")

;; 2^32 - 1 locals in nine bytes: refused without being counted out.
(module binary
  "\00asm" "\01\00\00\00"
  "\01\0a\02" "\60\00\00" "\60\02\7f\7f\01\7f"   ;; two types
  "\03\03\02\00\01"                              ;; two functions
  "\05\04\01\01\01\02"                           ;; a memory of one to two pages
  "\07\16\02" "\06memory\02\00" "\09zapp_main\00\01"
  "\0a\0f\02"
    "\08\01\ff\ff\ff\ff\0f\7f\0b"                ;; 4,294,967,295 of i32
    "\04\00\41\00\0b")

;; Addresses of 64 bits.
(module
  
  (memory (export "memory") i64 1 2)
  (func (export "zapp_main") (param i32 i32) (result i32) (i32.const 0)))

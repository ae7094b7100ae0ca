;; A memory that threads share.
(module
  
  (memory (export "memory") 1 2 shared)
  (func (export "zapp_main") (param i32 i32) (result i32) (i32.const 0)))

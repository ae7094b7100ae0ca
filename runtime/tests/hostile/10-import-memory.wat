;; A memory that somebody else has.
(module
  (import "zapp0" "memory" (memory 1 1))
  (memory (export "memory") 1 2)
  (func (export "zapp_main") (param i32 i32) (result i32) (i32.const 0)))

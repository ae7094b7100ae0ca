;; A function that the host does not have.
(module
  (import "zapp0" "time" (func))
  (memory (export "memory") 1 2)
  (func (export "zapp_main") (param i32 i32) (result i32) (i32.const 0)))

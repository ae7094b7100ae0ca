;; The right name with another type.
(module
  (import "zapp0" "get" (func (param i32 i32 i32) (result i32)))
  (memory (export "memory") 1 2)
  (func (export "zapp_main") (param i32 i32) (result i32) (i32.const 0)))

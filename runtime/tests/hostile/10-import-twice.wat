;; One function twice.
(module
  (import "zapp0" "log" (func (param i32 i32))) (import "zapp0" "log" (func (param i32 i32)))
  (memory (export "memory") 1 2)
  (func (export "zapp_main") (param i32 i32) (result i32) (i32.const 0)))

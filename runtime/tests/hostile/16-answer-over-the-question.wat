;; The value lands where the key was.
(module
  (import "zapp0" "output" (func $output (param i32 i32)))
  (import "zapp0" "get" (func $get (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1 2)
  (func (export "zapp_main") (param i32 i32) (result i32) (local i32 i64)
    (i32.store8 (i32.const 0) (i32.const 107))
    (drop (call $get (i32.const 0) (i32.const 1) (i32.const 0) (i32.const 5)))
    (call $output (i32.const 0) (i32.const 5))
    (i32.const 0)))

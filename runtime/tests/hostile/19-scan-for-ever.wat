;; next from the first key, again and again: each step is paid for.
(module
  (import "zapp0" "next" (func $next (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1 2)
  (func (export "zapp_main") (param i32 i32) (result i32) (local i32 i64)
    (loop (drop (call $next (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0))) (br 0))
    (i32.const 0)))

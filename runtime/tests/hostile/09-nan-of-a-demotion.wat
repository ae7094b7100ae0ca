;; Nor a change of width.
(module
  (import "zapp0" "output" (func $output (param i32 i32)))
  (memory (export "memory") 1 2)
  (func (export "zapp_main") (param i32 i32) (result i32) (local i32 i64)
    (f64.store (i32.const 0) (f64.promote_f32 (f32.demote_f64 (f64.reinterpret_i64 (i64.const 0x7ffdeadbeef12345)))))
    (call $output (i32.const 0) (i32.const 8))
    (i32.const 0)))

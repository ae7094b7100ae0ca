;; 256 of them.
(module
  (import "zapp0" "emit" (func $emit (param i32 i32 i32 i32)))
  (memory (export "memory") 1 2)
  (func (export "zapp_main") (param i32 i32) (result i32) (local i32 i64)
    (loop (call $emit (i32.const 0) (i32.const 4) (i32.const 0) (i32.const 4))
      (br_if 0 (i32.lt_u (local.tee 2 (i32.add (local.get 2) (i32.const 1))) (i32.const 256))))
    (i32.const 0)))

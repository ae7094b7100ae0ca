;; One more.
(module
  (memory (export "memory") 1 2)
  (func $f (param i32)
    (if (local.get 0) (then (call $f (i32.sub (local.get 0) (i32.const 1))))))
  (func (export "zapp_main") (param i32 i32) (result i32) (local i32 i64)
    (call $f (i32.const 4679))
    (i32.const 0)))

;; A vector whose result the processor decides.
(module
  (func (drop (i32x4.relaxed_trunc_f32x4_s (v128.const i32x4 0 0 0 0))))
  (memory (export "memory") 1 2)
  (func (export "zapp_main") (param i32 i32) (result i32) (i32.const 0)))

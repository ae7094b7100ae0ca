# What the kernel's build makes in one of its folders ($(obj)) with a configuration ($(config)),
# by its own files: folders with a slash behind and objects, one a line; objects of modules behind
# the module's name and a colon.

srctree := .
src := $(obj)
SRCARCH := x86
ARCH := x86
BITS := 64
# The file in arch/x86 that would name it is about compilers as well.
ARCH_LIB := arch/x86/lib/

include $(config)
include $(or $(wildcard $(obj)/Kbuild),$(obj)/Makefile)

# An object is compiled from a source of its name, or put together from others.
parts = $(or $(strip $($(1:.o=-objs)) $($(1:.o=-y)) $($(1:.o=-m))),$(1))

# The last three are in the file that boots beside the kernel proper: where the processor starts,
# what decompresses the kernel, and where other processors start.
built := $(obj-y) $(lib-y) $(extra-y) \
	$(setup-y) $(vmlinux-objs-y:$(obj)/%=%) $(realmode-y)

$(foreach entry,$(built),$(if $(filter %/,$(entry)),$(info $(obj)/$(entry)),\
	$(foreach part,$(call parts,$(entry)),$(info $(obj)/$(part)))))
$(foreach entry,$(filter %.o,$(obj-m)),\
	$(foreach part,$(call parts,$(entry)),$(info $(obj)/$(entry:.o=):$(obj)/$(part))))

.DEFAULT_GOAL := nothing
.PHONY: nothing
nothing: ; @:

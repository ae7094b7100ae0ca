# The PVH entry (Xen's "direct boot" protocol, which QEMU speaks to any ELF file with this note):
# 32-bit protected mode, paging off, ebx = physical address of the start info.

.section .note.Xen, "a", @note
.balign 4
    .long 4                 # bytes of the name
    .long 8                 # bytes of the entry: QEMU reads eight
    .long 18                # XEN_ELFNOTE_PHYS32_ENTRY
    .asciz "Xen"
    .quad pvh_start

.section .text.entry, "ax"
.code32
.global pvh_start
pvh_start:
    cli
    cld

    # Identity-map the first 4 GiB with pages of 2 MiB: the kernel maps memory so as well and
    # accepts what is there already only if it is the same.
    lea edi, [page_directories]
    xor ecx, ecx
    mov eax, 0x83           # present, writable, large
2:  mov [edi + ecx * 8], eax
    mov dword ptr [edi + ecx * 8 + 4], 0
    add eax, 0x200000
    inc ecx
    cmp ecx, 2048
    jne 2b

    lea edi, [page_directory_pointers]
    lea eax, [page_directories + 3]
    xor ecx, ecx
3:  mov [edi + ecx * 8], eax
    add eax, 0x1000
    inc ecx
    cmp ecx, 4
    jne 3b
    lea eax, [page_directory_pointers + 3]
    mov [page_map], eax

    lea eax, [page_map]
    mov cr3, eax
    mov eax, cr4
    or eax, 0x20            # physical address extension
    mov cr4, eax
    mov ecx, 0xC0000080     # EFER: long mode, and pages that cannot be executed
    rdmsr
    or eax, 0x900
    wrmsr
    mov eax, cr0
    or eax, 0x80000001      # paging, protected mode
    and eax, 0x9fffffff     # caches on
    mov cr0, eax

    lgdt [gdt_pointer]
    lea esp, [boot_stack_end]
    push 8
    lea eax, [long_mode]
    push eax
    retf

.code64
long_mode:
    mov ax, 16
    mov ds, ax
    mov es, ax
    mov ss, ax
    xor eax, eax
    mov fs, ax
    mov gs, ax
    lea rsp, [rip + boot_stack_end]
    mov edi, ebx            # the first argument: the start info
    xor ebp, ebp
    call {main}
    ud2

.section .data
.balign 8
gdt:
    .quad 0
    .quad 0x00209a0000000000 # 64-bit code
    .quad 0x0000920000000000 # data
gdt_pointer:
    .word 23
    .quad gdt

.section .bss
.balign 4096
page_map:
    .skip 4096
page_directory_pointers:
    .skip 4096
.global page_directories
page_directories:
    .skip 16384
.global boot_stack
boot_stack:
    .skip 65536
boot_stack_end:

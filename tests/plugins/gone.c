/* gone.c: a library that is there when missing_library.so is linked and, by its name, not when it is loaded. */
int tenon_test_gone(void);
int tenon_test_gone(void)
{
    return 1;
}

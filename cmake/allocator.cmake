# sluice_allocator(program): the program's malloc is jemalloc, where no sanitizer brings its own.
# A turn makes and frees some dozens of small objects on two threads; with glibc's malloc they cost
# three times the rest of the turn once the heap has been in use for a while (docs/adr/0010).
function(sluice_allocator program)
  if(SLUICE_SANITIZE)
    return()
  endif()
  find_library(SLUICE_JEMALLOC jemalloc REQUIRED)
  target_link_libraries(${program} PRIVATE ${SLUICE_JEMALLOC})
endfunction()

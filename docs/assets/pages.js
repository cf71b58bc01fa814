// What the theme leaves out for keyboards and screen readers: names of the search and of copy buttons, and tables that scroll by key.
function reachable() {
  document.querySelectorAll(".md-search[role=dialog]").forEach(search => search.setAttribute("aria-label", "Search"))
  document.querySelectorAll(".md-code__nav").forEach((nav, i) => nav.setAttribute("aria-label", `Code ${i + 1}`))
  document.querySelectorAll(".md-typeset__scrollwrap, .md-typeset pre > code").forEach(region => {
    if (region.scrollWidth > region.clientWidth) region.setAttribute("tabindex", "0")
  })
}
addEventListener("load", reachable)
addEventListener("resize", reachable)
new MutationObserver(reachable).observe(document.documentElement, {childList: true, subtree: true})

"""Documents that are made from the code are as the code makes them."""

import os
import unittest

from daemon import SOURCE, Case


class DocumentsTest(Case):
    def test_the_configuration_page_is_current(self):
        made = self.daemon().run("check-config", "--reference").stdout
        with open(os.path.join(SOURCE, "docs/configuration.md")) as file:
            kept = file.read()
        self.assertEqual(kept, made, "sluice check-config --reference > docs/configuration.md")

    def test_operations_names_every_metric_of_an_idle_daemon(self):
        daemon = self.daemon().start()
        lines = daemon.request("GET", "/metrics").body.decode().splitlines()
        self.assertEqual(daemon.stop(), 0)
        with open(os.path.join(SOURCE, "docs/operations.md")) as file:
            page = file.read()
        names = {line.split()[2] for line in lines if line.startswith("# TYPE ")}
        self.assertEqual([name for name in sorted(names) if "`%s`" % name not in page], [])


if __name__ == "__main__":
    unittest.main(verbosity=2)

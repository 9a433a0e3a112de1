"""The two ways to the API: through the deployed gateway, and in `chalice local`."""

import pytest

EACH_API = pytest.mark.parametrize("api", ["gateway", "chalice local"], indirect=True)

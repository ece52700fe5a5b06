"""``path("bodhi/", include("bodhi_django.urls"))``: everything below that prefix is ours."""

from django.urls import re_path

from bodhi_django.bridge import bridge

app_name = "bodhi"
urlpatterns = (re_path(r"^(?P<rest>(?s:.*))$", bridge, name="bridge"),)

"""Everything that has an address."""

from django.contrib import admin
from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.views import LoginView, LogoutView
from django.templatetags.static import static
from django.urls import include, path
from django.views.generic import RedirectView

from library.catalogue import views

icon = RedirectView.as_view(url=static("catalogue/icon.svg"))  # asked for by the admin's pages

urlpatterns = [
    path("", views.catalogue, name="catalogue"),
    path("books/<int:pk>/", views.book, name="book"),
    path("talk/", views.talk, name="talk"),
    path("talk/ask/", views.ask, name="ask"),
    path("talk/forget/", views.forget, name="forget"),
    path("login/", LoginView.as_view(redirect_authenticated_user=True), name="login"),
    path("logout/", LogoutView.as_view(), name="logout"),
    path("favicon.ico", login_not_required(icon)),
    path("admin/", admin.site.urls),
    path("bodhi/", include("bodhi_django.urls")),
]
